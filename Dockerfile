# One image for every role: docker build -t driftgate . ; with the reference trainer: docker build --target train -t driftgate:train .
# Runs as user 10001 and writes below /var/lib/driftgate and /tmp only, so the root file system may be read-only. More: docs/image.md.
ARG PYTHON=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON} AS build
ARG UV_VERSION=0.13.8
# Parquet files need 150 MB more: --build-arg EXTRAS="… parquet".
ARG EXTRAS="demo image model notify s3"
ENV UV_PROJECT_ENVIRONMENT=/opt/driftgate \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=1
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Where only a company's proxy leads out, its certificate comes as a secret (id=ca) and stays out of the image.
RUN --mount=type=secret,id=ca \
    ! test -f /run/secrets/ca || export PIP_CERT=/run/secrets/ca; \
    python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --disable-pip-version-check "uv==${UV_VERSION}"
WORKDIR /src
# The dependencies change less often than the program: a layer of their own. uv's lock, which anybody may write to, stays behind.
COPY pyproject.toml uv.lock ./
RUN --mount=type=secret,id=ca \
    ! test -f /run/secrets/ca || export SSL_CERT_FILE=/run/secrets/ca; \
    read -ra extras <<<"${EXTRAS}"; \
    /opt/uv/bin/uv sync --frozen --no-dev --no-install-project "${extras[@]/#/--extra=}"
COPY README.md LICENSE ./
COPY detectors detectors
COPY service service
RUN --mount=type=secret,id=ca \
    ! test -f /run/secrets/ca || export SSL_CERT_FILE=/run/secrets/ca; \
    /opt/uv/bin/uv sync --frozen --no-dev --no-editable --inexact; \
    rm -f /opt/driftgate/.lock

# torch of the locked version, from an index of choice: https://download.pytorch.org/whl/cpu has it without 5 GB of CUDA.
FROM build AS build-train
ARG TORCH_INDEX=https://pypi.org/simple
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN --mount=type=secret,id=ca \
    ! test -f /run/secrets/ca || export SSL_CERT_FILE=/run/secrets/ca; \
    /opt/uv/bin/uv export --frozen --no-dev --no-emit-project --no-hashes --extra train | sed -n 's/^\(torch==[^ ;]*\).*/\1/p' | sort -u >torch.txt; \
    /opt/uv/bin/uv pip install --python /opt/driftgate/bin/python --index "${TORCH_INDEX}" --requirement torch.txt; \
    rm -f /opt/driftgate/.lock

FROM ${PYTHON} AS runtime
ARG PYTHON
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="driftgate" \
      org.opencontainers.image.description="Semantic drift monitor for deployed models, with calibrated false alarms and a gated refresh cycle" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON}"
# Its only places to write; what the base leaves open to everybody besides /tmp is closed.
RUN groupadd --gid 10001 driftgate \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /var/lib/driftgate --shell /usr/sbin/nologin driftgate \
    && install --directory --owner=driftgate --group=driftgate /var/lib/driftgate \
    && install --directory /etc/driftgate \
    && chmod 755 /var/tmp /run/lock
ENV PATH=/opt/driftgate/bin:$PATH \
    HOME=/var/lib/driftgate \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 \
    DRIFTGATE__DIRECTORY=/var/lib/driftgate \
    DRIFTGATE__SERVER__HOST=0.0.0.0 \
    DRIFTGATE__SERVER__PORT=8080
WORKDIR /var/lib/driftgate
VOLUME /var/lib/driftgate
EXPOSE 8080 9464
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python3", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['DRIFTGATE__SERVER__PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["driftgate"]
CMD ["serve", "--config", "/etc/driftgate/driftgate.yaml"]

FROM runtime AS train
COPY --from=build-train /opt/driftgate /opt/driftgate
USER 10001:10001

FROM runtime AS core
COPY --from=build /opt/driftgate /opt/driftgate
USER 10001:10001
