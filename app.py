"""The standalone push server as a Flask app: ``flask run`` for a look, gunicorn for real use."""

from pushapp import create_app

app = create_app()
