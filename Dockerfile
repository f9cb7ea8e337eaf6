# Two stages: everything is installed in the first, the second holds nothing but what runs.
# Both start from the same image, which has python3 with venv: docs/container.md says how to give another one,
# and how to build behind a proxy that breaks TLS open.
ARG PYTHON_IMAGE=python:3.13-slim
FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
# pip has an environment of its own, so that what runs later has none.
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/ltv-guard
COPY requirements.lock ./
# Every dependency is pinned by hash.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.pem,target=/run/ca.pem \
    /opt/pip/bin/pip --python /opt/ltv-guard/bin/python install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY ltv_guard ltv_guard
COPY config config
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.pem,target=/run/ca.pem \
    /opt/pip/bin/pip --python /opt/ltv-guard/bin/python install --no-cache-dir --no-deps .

FROM ${PYTHON_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ltv-guard" \
      org.opencontainers.image.description="Keeps crypto-backed loans on Bybit out of liquidation." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="https://github.com/ltv-guard/ltv-guard" \
      org.opencontainers.image.documentation="https://github.com/ltv-guard/ltv-guard/tree/main/docs" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The image's own pip goes as well. The user's home is the volume, and nothing is copied into it.
RUN groupadd --gid 10001 guard \
 && useradd --no-log-init --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/ltv-guard \
            --shell /usr/sbin/nologin guard \
 && install -d -m 0700 -o 10001 -g 10001 /var/lib/ltv-guard \
 && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip \
           /usr/lib/python3*/ensurepip /usr/share/python-wheels
COPY --from=build /opt/ltv-guard /opt/ltv-guard
ENV PATH=/opt/ltv-guard/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_STATE_HOME=/var/lib
USER 10001:10001
# The state folder is ltv-guard under XDG_STATE_HOME, so the journal is /var/lib/ltv-guard/journal.db.
VOLUME /var/lib/ltv-guard
EXPOSE 9464
STOPSIGNAL SIGTERM
# Reads the daemon's own sign of life; no network.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["ltv-guard", "health", "--max-age", "60"]
ENTRYPOINT ["ltv-guard"]
CMD ["run"]
