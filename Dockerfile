# Two stages: the wheel is built in the first, the second holds nothing but what runs.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY ltv_guard ltv_guard
COPY config config
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim
LABEL org.opencontainers.image.title="ltv-guard" \
      org.opencontainers.image.description="Keeps crypto-backed loans on Bybit out of liquidation." \
      org.opencontainers.image.licenses="MIT"
COPY requirements.lock /tmp/requirements.lock
COPY --from=build /wheels /tmp/wheels
# Every dependency is pinned by hash; the wheel itself was built above.
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.lock \
 && pip install --no-cache-dir --no-deps /tmp/wheels/*.whl \
 && rm -rf /tmp/wheels /tmp/requirements.lock \
 && useradd --system --uid 10001 --home-dir /var/lib/ltv-guard --create-home guard \
 && chmod 700 /var/lib/ltv-guard
USER guard
ENV PYTHONUNBUFFERED=1 \
    XDG_STATE_HOME=/var/lib
# The state folder is ltv-guard under XDG_STATE_HOME, so the journal is /var/lib/ltv-guard/journal.db.
VOLUME /var/lib/ltv-guard
STOPSIGNAL SIGTERM
ENTRYPOINT ["ltv-guard"]
CMD ["run"]
