# One file, three images:
#   docker build --target serving .         the scoring API; no Dagster, MLflow, pandas or scikit-learn in it
#   docker build --target orchestration .   the Dagster webserver, its daemon, the two code locations; runs and commands
#   docker build --target batch .           `creditrisk score`
# Bases are pinned by full version. Pin the digest too where a registry can be asked: --build-arg BASE=python:3.11.14-slim-bookworm@sha256:…
ARG BASE=python:3.11.14-slim-bookworm

FROM ${BASE} AS runtime
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=1 \
    PATH=/opt/creditrisk/bin:$PATH CREDITRISK_HOME=/var/lib/creditrisk HOME=/tmp
# LightGBM's shared library needs OpenMP's.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 creditrisk && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin creditrisk \
 && install -d -o 10001 -g 10001 -m 0750 /var/lib/creditrisk
WORKDIR /var/lib/creditrisk

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/creditrisk
COPY requirements-build.lock /src/
RUN /opt/creditrisk/bin/pip install --quiet --require-hashes --no-deps -r /src/requirements-build.lock

FROM build AS package
COPY pyproject.toml README.md /src/
COPY creditrisk_assets /src/creditrisk_assets
COPY creditrisk_serving /src/creditrisk_serving
RUN cd /src && /opt/creditrisk/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels .

FROM build AS serving-environment
COPY requirements-serving.lock /src/
RUN /opt/creditrisk/bin/pip install --quiet --require-hashes --no-deps -r /src/requirements-serving.lock
COPY --from=package /wheels /wheels
RUN /opt/creditrisk/bin/pip install --quiet --no-deps --no-index /wheels/*.whl && /opt/creditrisk/bin/pip uninstall --quiet --yes setuptools pip

FROM build AS orchestration-environment
COPY requirements-orchestration.lock /src/
RUN /opt/creditrisk/bin/pip install --quiet --require-hashes --no-deps -r /src/requirements-orchestration.lock
COPY --from=package /wheels /wheels
RUN /opt/creditrisk/bin/pip install --quiet --no-deps --no-index /wheels/*.whl && /opt/creditrisk/bin/pip uninstall --quiet --yes pip

FROM runtime AS serving
COPY --from=serving-environment /opt/creditrisk /opt/creditrisk
ENV CREDITRISK_SERVING_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=4)"]
ENTRYPOINT ["creditrisk"]
CMD ["serve"]

FROM runtime AS orchestration
COPY --from=orchestration-environment /opt/creditrisk /opt/creditrisk
COPY deploy/alerts.yaml deploy/relaxations.yaml deploy/dagster/workspace.yaml /etc/creditrisk/
COPY deploy/dagster/dagster.yaml /etc/creditrisk/dagster/
COPY deploy/dagster/ecs/dagster.yaml /etc/creditrisk/dagster-ecs/
ENV DAGSTER_HOME=/etc/creditrisk/dagster CREDITRISK_DAGSTER_YAML=/etc/creditrisk/dagster/dagster.yaml \
    CREDITRISK_ALERTS=/etc/creditrisk/alerts.yaml CREDITRISK_RELAXATIONS=/etc/creditrisk/relaxations.yaml
USER 10001:10001
EXPOSE 3000 4000
# Each of its processes is asked in its own way; deploy/compose.yaml says how. This asks whether the code loads at all.
HEALTHCHECK --interval=60s --timeout=30s --start-period=120s --retries=3 CMD ["creditrisk", "--help"]
CMD ["python3", "-m", "creditrisk_assets.resources.code_server", "-h", "0.0.0.0", "-p", "4000", "-m", "creditrisk_assets.definitions"]

FROM orchestration AS batch
ENTRYPOINT ["creditrisk", "score"]
HEALTHCHECK NONE
CMD ["--help"]
