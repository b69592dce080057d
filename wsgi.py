"""What gunicorn serves: ``gunicorn -c gunicorn.conf.py wsgi:app``. Monkey patching comes first."""

from gevent import monkey

monkey.patch_all()

from pushapp import create_app  # noqa: E402

app = create_app()
