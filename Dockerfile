# docker build -t driftgate .
# Runs `driftgate serve` as user 10001. Writes below /var/lib/driftgate and /tmp only, so the root file system may be read-only.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
ARG UV_VERSION=0.13.8
ENV UV_PROJECT_ENVIRONMENT=/opt/driftgate \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir uv==${UV_VERSION}
WORKDIR /src
# The dependencies change less often than the program: a layer of their own.
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --frozen --no-dev --no-install-project --extra demo --extra image --extra model --extra parquet
COPY README.md LICENSE ./
COPY detectors detectors
COPY service service
RUN /opt/uv/bin/uv sync --frozen --no-dev --no-editable --extra demo --extra image --extra model --extra parquet

FROM ${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="driftgate" \
      org.opencontainers.image.description="Semantic drift monitor for deployed models, with calibrated false alarms and a gated refresh cycle" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/driftgate --shell /usr/sbin/nologin driftgate \
    && install --directory --owner=driftgate --group=driftgate /var/lib/driftgate /etc/driftgate
COPY --from=build /opt/driftgate /opt/driftgate
ENV PATH=/opt/driftgate/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 \
    DRIFTGATE__DIRECTORY=/var/lib/driftgate \
    DRIFTGATE__SERVER__HOST=0.0.0.0 \
    DRIFTGATE__SERVER__PORT=8080
WORKDIR /var/lib/driftgate
USER 10001:10001
VOLUME /var/lib/driftgate
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python3", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['DRIFTGATE__SERVER__PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["driftgate"]
CMD ["serve", "--config", "/etc/driftgate/driftgate.yaml"]
