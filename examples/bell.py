"""A notification bell, in twenty lines of Python and page.

pip install path/to/pushapp
SECRET_KEY=$(openssl rand -hex 32) gunicorn -c python:pushapp.gunicorn_conf bell:app
Open http://127.0.0.1:8000/as/ann, and: curl -d 'Your parcel is here' http://127.0.0.1:8000/notify/ann
"""

import os

from flask import Flask, render_template_string, request, session

from pushapp import Push

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
push = Push(app)
push.user(lambda: session.get("user"))  # they read their own channel, user:NAME

BELL = """<!doctype html><meta charset="utf-8"><button>Notices: <b>0</b></button><ul></ul>
<script src="/push/jquery.js"></script><script src="/push/push.js"></script><script>
  function show(it) { $('ul').prepend($('<li>').text(it.data)); $('b').text($('li').length); }
  $.push({channels: ['user:' + {{ user|tojson }}], history: 20}).on('message', show)
    .on('history', function (past) { past.messages.forEach(show); });
</script>"""


@app.get("/as/<user>")  # stands for your login
def bell(user):
    session["user"] = user
    return render_template_string(BELL, user=user)


@app.post("/notify/<user>")  # stands for whatever happens in your app
def notify(user):
    return push.publish(user=user, data=request.get_data(as_text=True))  # the message's id
