# The standalone server: docker build -t pushapp .   How to run it: docs/deploy.md

FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /venv
COPY requirements.txt ./
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY pushapp pushapp
COPY static static
COPY templates templates
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home pushapp
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PUSH_BROKER_URL=sqlite:////data/push.db
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
# The process alone: where the log is away, restarting would help nobody. /readyz is for balancers.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT') or 8000}/healthz\", timeout=4)"]
# A worker shows on the memory disk that it lives: an overlay's writes may wait for a real one.
CMD ["python", "-m", "gunicorn", "-c", "python:pushapp.gunicorn_conf", "--worker-tmp-dir", "/dev/shm", "pushapp.wsgi:app"]
