"""The standalone server where the package is installed: ``gunicorn … pushapp.wsgi:app``.

What belongs here: the same as in the repository's wsgi.py. Monkey patching comes first.
"""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

from .errors import SettingsError  # noqa: E402
from .factory import create_app  # noqa: E402

_NO_USE = 4  # gunicorn's APP_LOAD_ERROR: it stops instead of trying again for ever

try:
    app = create_app()
except SettingsError as error:
    print(f"pushapp: {error}", file=sys.stderr, flush=True)
    sys.exit(_NO_USE)
