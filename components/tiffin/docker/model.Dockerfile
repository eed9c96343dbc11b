# The image `model`: train, evaluate, register, deploy. `make images` builds it from the checkout, with docker or buildah.
ARG BASE=python:3.11-slim-bookworm
# Such as sha256:..., where the base has to be one build and no other.
ARG DIGEST=

# --- every package of the lock, in a virtualenv that moves to the image whole ---
FROM ${BASE}${DIGEST:+@${DIGEST}} AS packages
# What the image will hold of Debian's, before tools for the build come on top.
RUN mkdir /build && cp /var/lib/dpkg/status /build/status
RUN apt-get update -qq && apt-get install -qq --no-install-recommends binutils >/dev/null
COPY locks/model.txt /build/lock.txt
# The builder's own pip settings and certificates are there for this step and leave no trace in the image. Packages that
# come as source are built by the lock's own setuptools, so that nothing comes without a hash.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=certificates,target=/run/secrets/certificates.pem \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/tiffin \
    && sed -n '/^\(setuptools\|wheel\)==/,/[^\\]$/p' /build/lock.txt >/build/first.txt \
    && pip="python3 -m pip --python /opt/tiffin/bin/python --disable-pip-version-check install --quiet --no-compile" \
    && $pip --require-hashes --no-deps -r /build/first.txt \
    && $pip --require-hashes --no-deps --no-build-isolation -r /build/lock.txt
COPY components/tiffin/docker/trimming.py /build/
# Files in an image never change, so their bytecode needs no check against them. What does not compile are templates.
RUN /opt/tiffin/bin/python /build/trimming.py model \
    && { /opt/tiffin/bin/python -m compileall -qq -j 0 --invalidation-mode unchecked-hash /opt/tiffin/lib || true; }

# --- Tiffin itself, apart, so that a new version is a small layer ---
FROM packages AS package
COPY pyproject.toml README.md /build/source/
COPY components /build/source/components
COPY pipelines /build/source/pipelines
RUN python3 -m pip --python /opt/tiffin/bin/python --disable-pip-version-check install --quiet --no-index --no-deps \
      --no-build-isolation --no-compile --root /package /build/source \
    && /opt/tiffin/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /package/opt/tiffin/lib
# What was taken away must not be missed.
RUN cp -r /package/opt/tiffin/. /opt/tiffin/ \
    && HOME=/tmp /opt/tiffin/bin/python -m tiffin.docker.smoke model \
    && /opt/tiffin/bin/python -m tiffin.docker.materials model /build/lock.txt /build/status /package/opt/tiffin/sbom.cdx.json

FROM ${BASE}${DIGEST:+@${DIGEST}}
# A number that a cluster can check (runAsNonRoot), and a name for it, which some libraries look up.
RUN groupadd --gid 10001 tiffin && useradd --no-log-init --no-create-home --home-dir /tmp --uid 10001 --gid 10001 tiffin
COPY --from=packages /opt/tiffin /opt/tiffin
COPY --from=package /package/opt/tiffin /opt/tiffin
# With a read-only root file system /tmp is what can be written.
ENV PATH=/opt/tiffin/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    MLFLOW_DISABLE_TELEMETRY=true
WORKDIR /tmp
USER 10001:10001
# Last, so that a new revision changes no layer.
ARG BASE
ARG DIGEST
ARG VERSION=0
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="tiffin/model" \
      org.opencontainers.image.description="Tiffin's components: train, evaluate, register, deploy" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.base.digest="${DIGEST}"
