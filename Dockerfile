# syntax=docker/dockerfile:1
# The receiver, its commands and the sample application in one image. No compiler, no shell scripts, no root; PostgreSQL is
# another container's (extra `embedded`, which `otelgres up` starts, is 75 MB that are not needed here).

FROM python:3.13-slim-bookworm AS build
WORKDIR /src
# pip stays outside of the environment that is copied.
RUN python -m venv --without-pip /opt/otelgres
COPY pyproject.toml README.md LICENSE ./
COPY sql/ sql/
COPY exporters/otelgres/exporters/ exporters/otelgres/exporters/
COPY collector/otelgres/collector/ collector/otelgres/collector/
COPY otel_setup/ otel_setup/
RUN pip --python /opt/otelgres/bin/python install --no-cache-dir --disable-pip-version-check ".[demo]" \
 && find /opt/otelgres -name tests -type d -prune -exec rm -r {} +

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="otelgres" \
      org.opencontainers.image.description="OpenTelemetry in, PostgreSQL rows out" \
      org.opencontainers.image.licenses="Apache-2.0"
# A number, so that a platform that demands "not root" can see that it is none.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/otelgres --shell /usr/sbin/nologin otelgres \
 && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/otelgres
COPY --from=build /opt/otelgres /opt/otelgres
ENV PATH=/opt/otelgres/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OTELGRES_SPOOL=/var/lib/otelgres/spool
USER 10001:10001
WORKDIR /var/lib/otelgres
# What was acknowledged while PostgreSQL was away lies here until it is back.
VOLUME /var/lib/otelgres
EXPOSE 4317 4318
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["otelgres", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["otelgres"]
CMD ["serve"]
