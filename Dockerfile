# syntax=docker/dockerfile:1
# The champion over HTTP: docs/promotion.md. The base images are pinned by version; a release that
# wants them by digest adds the `@sha256:...` that `docker buildx imagetools inspect` shows.
FROM python:3.12.13-slim-bookworm AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/lr-ceiling
ENV PATH=/opt/lr-ceiling/bin:$PATH
# The lock first: it changes seldom, and its layer takes minutes.
COPY requirements.txt /build/
RUN pip install --require-hashes --requirement /build/requirements.txt
COPY pyproject.toml README.md LICENSE /build/
COPY src /build/src
RUN pip install --no-deps --no-build-isolation /build

FROM python:3.12.13-slim-bookworm

RUN useradd --uid 10001 --no-log-init --create-home --home-dir /srv/lr-ceiling server
COPY --from=build /opt/lr-ceiling /opt/lr-ceiling
ENV PATH=/opt/lr-ceiling/bin:$PATH PYTHONUNBUFFERED=1 GIT_PYTHON_REFRESH=quiet
USER 10001
WORKDIR /srv/lr-ceiling
# Its own files, since MLflow's paths are brought up to date where the registry lies.
COPY --chown=10001:10001 params.yaml ./
COPY --chown=10001:10001 mlruns ./mlruns

EXPOSE 5001
# A start takes 10 s where nothing else runs.
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:5001/ping', timeout=4)"]
# All addresses of the container: which of them others reach, `docker run --publish` decides.
ENTRYPOINT ["lr-ceiling", "serve", "--host", "0.0.0.0", "--port", "5001"]
