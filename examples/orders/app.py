"""A shop whose pages show where an order is, as it goes on its way. Flask-Login and SQLAlchemy.

pip install path/to/pushapp flask-login flask-sqlalchemy
export SECRET_KEY=$(openssl rand -hex 32)
flask --app app init
gunicorn -c python:pushapp.gunicorn_conf app:app

Ann buys (password "ann"), Sam of the staff sends it (password "sam"): open a window for each.
"""

import os

from flask import Flask, abort, redirect, render_template, request, url_for
from flask_login import (
    LoginManager,
    UserMixin,
    current_user,
    login_required,
    login_user,
    logout_user,
)
from flask_sqlalchemy import SQLAlchemy
from werkzeug.security import check_password_hash, generate_password_hash

from pushapp import Push, PushError

STATES = ["ordered", "packed", "shipped", "delivered"]

app = Flask(__name__)
app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("DATABASE_URL", "sqlite:///shop.db")
db = SQLAlchemy(app)
push = Push(app)
logins = LoginManager(app)
logins.login_view = "login"


class User(UserMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(80), unique=True, nullable=False)
    password = db.Column(db.String(255), nullable=False)
    is_staff = db.Column(db.Boolean, nullable=False, default=False)


class Order(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.ForeignKey(User.id), nullable=False)
    item = db.Column(db.String(80), nullable=False)
    state = db.Column(db.String(20), nullable=False, default=STATES[0])
    version = db.Column(db.Integer, nullable=False)
    __mapper_args__ = {"version_id_col": version}  # counts changes; of two at once one is refused


# -- who hears what


@push.user  # who is logged in reads their own channel, user:ID
def who():
    return current_user.get_id()


@push.authorize("staff:*")
def is_staff(channel):
    return current_user.is_authenticated and current_user.is_staff


def save(order):
    """Commit, and then tell the customer and the staff: who is told finds it in the database."""
    db.session.add(order)
    db.session.commit()
    now = {name: getattr(order, name) for name in ("id", "item", "state", "version")}
    try:
        push.publish([f"user:{order.user_id}", "staff:orders"], now, event="order")
    except PushError:  # the log is away; what was done is done, and the next page shows it
        app.logger.exception("order %s: nobody was told", order.id)


# -- the pages


@app.get("/")
@login_required
def orders():
    cursor = push.cursor()  # before reading: what comes after it is on the page, or will be told
    db.session.rollback()  # MySQL reads on as of the first read, which was the login's
    mine = db.select(Order).where(Order.user_id == current_user.id)
    found = db.session.scalars(db.select(Order) if current_user.is_staff else mine)
    channel = "staff:orders" if current_user.is_staff else f"user:{current_user.id}"
    return render_template("orders.html", orders=found, channel=channel, cursor=cursor)


@app.post("/orders")
@login_required
def order():
    save(Order(user_id=current_user.id, item=request.form["item"]))
    return redirect(url_for("orders"))


@app.post("/orders/<int:number>/next")
@login_required
def send_on(number):
    order = db.get_or_404(Order, number)
    if not current_user.is_staff:
        abort(403)
    if order.state != STATES[-1]:
        order.state = STATES[STATES.index(order.state) + 1]
        save(order)
    return "", 204


# -- logins


@logins.user_loader
def load(number):
    return db.session.get(User, number)


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        user = db.session.scalar(db.select(User).where(User.name == request.form["name"]))
        if user and check_password_hash(user.password, request.form["password"]):
            login_user(user)
            return redirect(url_for("orders"))
    return render_template("login.html")


@app.post("/logout")
@login_required
def logout():
    push.disconnect(user=current_user.get_id())  # open pages would listen for a minute longer
    logout_user()
    return redirect(url_for("login"))


@app.cli.command()
def init():
    """Create the tables, Ann and Sam."""
    db.create_all()
    db.session.add(User(name="ann", password=generate_password_hash("ann")))
    db.session.add(User(name="sam", password=generate_password_hash("sam"), is_staff=True))
    db.session.commit()
