FROM python:3.12-slim AS builder

ENV PIP_NO_CACHE_DIR=1 \
    PIP_NO_INPUT=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /build

# Before the sources, so that a change of the code does not install the dependencies anew.
COPY requirements/runtime.txt requirements/build.txt requirements/
RUN python3 -m venv --without-pip /opt/venv \
 && python3 -m pip --python /opt/venv/bin/python install --require-hashes --requirement requirements/runtime.txt \
 && python3 -m venv --without-pip /opt/build \
 && python3 -m pip --python /opt/build/bin/python install --require-hashes --requirement requirements/build.txt

COPY pyproject.toml README.md LICENSE ./
COPY exporter/ exporter/
ARG REVISION=unknown
RUN printf '%s' "${REVISION}" > exporter/REVISION \
 && /opt/build/bin/python -m build --no-isolation --wheel --outdir dist . \
 && python3 -m pip --python /opt/venv/bin/python install --no-deps --no-index dist/*.whl \
 && python3 -m pip --python /opt/venv/bin/python check

# sqlite-utils requires pip for its own command `install`, which nobody needs here.
RUN python3 -m pip --python /opt/venv/bin/python uninstall --yes pip


FROM python:3.12-slim

ARG VERSION=unknown
ARG REVISION=unknown

LABEL org.opencontainers.image.title="zohovoice-exporter" \
      org.opencontainers.image.description="Prometheus exporter and history recorder for Zoho Voice agents' online status" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

COPY --from=builder /opt/venv /opt/venv

# Nothing is installed into a running container, so the base image's installers only widen what an intruder finds.
RUN rm -rf /usr/local/bin/pip* \
           /usr/local/lib/python3.*/ensurepip \
           /usr/local/lib/python3.*/site-packages/pip \
           /usr/local/lib/python3.*/site-packages/pip-*.dist-info \
 && install --directory --owner=10042 --group=10042 --mode=0750 /data

# Bytecode was compiled at installation, and the root file system may be read-only.
ENV PATH="/opt/venv/bin:${PATH}" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# A number, so that Kubernetes' runAsNonRoot can see that it is not root.
USER 10042:10042
WORKDIR /data
VOLUME ["/data"]
EXPOSE 10042

# The isolated mode keeps /data off the import path. Over TLS or behind a login this works too.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 \
    CMD ["python3", "-I", "-m", "exporter.cli.healthcheck"]

ENTRYPOINT ["zohovoice-exporter"]
CMD ["serve", "--db=/data/zohovoice.db"]
