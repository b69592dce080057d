"""Who is logged in with Flask-Login listens to their rooms, and stops when they log out.

pip install path/to/pushapp flask-login
SECRET_KEY=$(openssl rand -hex 32) gunicorn -c python:pushapp.gunicorn_conf with_flask_login:app
"""

import os

from flask import Flask, abort, request
from flask_login import (
    LoginManager,
    UserMixin,
    current_user,
    login_required,
    login_user,
    logout_user,
)

from pushapp import Push

ROOMS = {"ann": {"room:1"}, "bob": {"room:2"}}  # who may be where

app = Flask(__name__)
app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
push = Push(app)
logins = LoginManager(app)


@logins.user_loader
def load(user):
    if user not in ROOMS:
        return None
    found = UserMixin()
    found.id = user
    return found


@push.user
def who():
    return current_user.get_id()  # None where nobody is logged in


@push.authorize("room:*")
def may(channel, action):
    if not current_user.is_authenticated:
        abort(401)
    return channel in ROOMS[current_user.id]


@app.post("/login")
def login():
    user = load(request.form["user"])  # your app asks for a password, too
    if user is None:
        abort(403)
    login_user(user)
    return ""


@app.post("/logout")
@login_required
def logout():
    push.disconnect(user=current_user.get_id())  # what they listen by would hold a minute longer
    logout_user()
    return ""
