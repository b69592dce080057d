"""Who is logged in by the app's own session listens to their rooms, and stops when they log out.

pip install path/to/pushapp
SECRET_KEY=$(openssl rand -hex 32) gunicorn -c python:pushapp.gunicorn_conf with_session:app
"""

import os

from flask import Flask, abort, request, session

from pushapp import Push

ROOMS = {"ann": {"room:1"}, "bob": {"room:2"}}  # who may be where

app = Flask(__name__)
app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
push = Push(app)


@push.user
def who():
    return session.get("user")


@push.authorize("room:*")
def may(channel, action):
    if "user" not in session:
        abort(401)
    return channel in ROOMS[session["user"]]


@app.post("/login")
def login():
    if request.form["user"] not in ROOMS:  # your app asks for a password, too
        abort(403)
    session["user"] = request.form["user"]
    return ""


@app.post("/logout")
def logout():
    if "user" in session:
        push.disconnect(user=session.pop("user"))
    return ""
