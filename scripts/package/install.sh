#!/bin/sh
# Installs Portgate from this folder: needs root, no network, and nothing that Debian 12 does not bring.
#   ./install.sh          installs or upgrades; the former version stays in /opt/portgate
#   ./install.sh --check  only compares every file with its checksum
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here"
sha256sum --quiet -c SHA256SUMS || { echo "install: this folder is damaged; unpack the archive again" >&2; exit 1; }
[ "${1:-}" != --check ] || { echo "install: every file is as it was packed"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "install: run it as root" >&2; exit 1; }
grep -q avx2 /proc/cpuinfo || { echo "install: this processor has no AVX2, which the recogniser needs" >&2; exit 1; }
"$here/bin/portgate" --version >/dev/null || { echo "install: the program does not start on this machine" >&2; exit 1; }

version=$(basename "$here")
target=/opt/portgate/$version
mkdir -p /opt/portgate
if [ "$here" != "$target" ]; then
  rm -rf "$target.new"
  cp -a "$here" "$target.new"
  rm -rf "$target"
  mv "$target.new" "$target"
fi
if ! getent passwd portgate >/dev/null; then
  # Debian's bare system has useradd, not always adduser.
  useradd --system --home-dir /var/lib/portgate --shell /usr/sbin/nologin portgate
fi
mkdir -p /etc/portgate /var/lib/portgate
chown portgate: /var/lib/portgate
chmod 700 /var/lib/portgate
[ -f /etc/portgate/portgate.toml ] || cp "$target/share/portgate.toml" /etc/portgate/portgate.toml
if [ -d /etc/systemd/system ]; then cp "$target/share/portgate.service" /etc/systemd/system/portgate.service; fi
ln -sfn "$target" /opt/portgate/current
ln -sfn /opt/portgate/current/bin/portgate /usr/local/bin/portgate
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  if systemctl is-active --quiet portgate; then
    echo "install: restart it with: systemctl restart portgate"
  else
    echo "install: start it with: systemctl enable --now portgate, and read the one-time password with: journalctl -u portgate"
  fi
fi
echo "install: $version is in $target; go back with: ln -sfn FORMER_FOLDER /opt/portgate/current"
