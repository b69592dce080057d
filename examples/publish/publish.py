"""Publish from a cron job, a Celery task, or another service. What it imports is the standard
library and a few small modules: neither Flask nor gevent.

pip install path/to/pushapp
PUSH_URL=https://push.example.com/push PUSH_KEY=… python publish.py orders:7 '{"state":"shipped"}'
"""

import json
import os
import sys

from pushapp import Client

client = Client(os.environ["PUSH_URL"], api_key=os.environ["PUSH_KEY"])
print(client.publish(sys.argv[1], json.loads(sys.argv[2])))
