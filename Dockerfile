# The image of one callscore worker, configured by CALLSCORE_* variables: see compose.yaml.
FROM python:3.11-slim

WORKDIR /callscore
COPY requirements/runtime.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/runtime.txt

# Editable, as in `make install`, so that the image has the layout that the tests run.
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY agents agents
COPY tables tables
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable .

# The user callscore cannot write bytecode at run time.
RUN python -m compileall -q app agents tables

RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin callscore \
    && install --directory --owner callscore --group callscore /data
USER callscore
ENV CALLSCORE_DATA_DIR=/data PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
VOLUME /data
EXPOSE 6066
CMD ["callscore", "worker"]
