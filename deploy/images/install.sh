#!/bin/sh
# Installs a package of the workspace, or only the libraries that it needs, into /opt/tercio; runs while an image is built.
#
#   install.sh tercio-registry [--no-install-workspace]

set -eu
package=$1
shift

certificates=/run/secrets/certificates
[ ! -f "$certificates" ] || export SSL_CERT_FILE="$certificates"

export UV_CACHE_DIR=/root/.cache/uv UV_LINK_MODE=copy UV_PROJECT_ENVIRONMENT=/opt/tercio UV_PYTHON_DOWNLOADS=never
# Compiled now, because a running container may not write there.
exec /uv/bin/uv sync --quiet --frozen --compile-bytecode --no-dev --no-editable --project /workspace --package "$package" "$@"
