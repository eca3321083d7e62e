#!/usr/bin/env bash
# Build an image without a container engine, and start it as its own user: buildah with chroot isolation.
#
#   deploy/images/prove.sh serving            on the base the Dockerfile names, from its registry
#   BASE=localhost/debian-python:3.11 …       on a base of your own (see docs/deployment.md for one from Debian's packages)
#   BUILD_OPTIONS="--volume …"                more options for the build (certificates of a proxy, a mirror of packages)
#
#   PROOF_HOME=… PROOF_INPUT=… …prove.sh batch   scores the tables of a directory by the model of a finished home
#
# As root, which mounts: what is started has a read-only root, no capabilities and no way to new ones, as deploy/compose.yaml asks of an
# engine: /tmp and /var/lib/creditrisk are file systems of their own.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${1:?"name a target of the Dockerfile: serving, orchestration or batch"}
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=${STORAGE_DRIVER:-vfs}
image=localhost/creditrisk-$target:proof

# shellcheck disable=SC2086 # several options
buildah build --format docker --layers ${BASE:+--build-arg BASE="$BASE"} ${BUILD_OPTIONS:-} --target "$target" --tag "$image" .
container=$(buildah from "$image")
trap 'buildah rm "$container" >/dev/null' EXIT

inside() { buildah run --isolation chroot "$container" -- "$@"; }
echo "user: $(inside id -u):$(inside id -g)"
[ "$(inside id -u)" = 10001 ]
inside sh -c '! touch /opt/creditrisk/written 2>/dev/null && ! touch /etc/written 2>/dev/null && touch /var/lib/creditrisk/written && rm /var/lib/creditrisk/written'
echo "its user writes to /var/lib/creditrisk and /tmp alone"
inside creditrisk --help >/dev/null

root=$(buildah mount "$container")
kept=$(mktemp -d)
trap 'buildah umount "$container" >/dev/null; buildah rm "$container" >/dev/null; rm -rf "$kept"' EXIT
mapfile -t environment < <(buildah inspect --format '{{range .OCIv1.Config.Env}}{{println .}}{{end}}' "$container" | grep =)
hardened() {
  chown -R 10001:10001 "$kept"
  # shellcheck disable=SC2016 # expanded inside
  unshare --mount --pid --fork --kill-child sh -euc '
    root=$1 kept=$2; shift 2
    mount --bind "$root" "$root" && mount -o remount,ro,bind "$root"
    mount -t tmpfs -o mode=1777,size=1g tmpfs "$root/tmp" && mount --bind "$kept" "$root/var/lib/creditrisk"
    mount -t proc proc "$root/proc" && mount --bind /dev "$root/dev"
    exec chroot "$root" setpriv --reuid 10001 --regid 10001 --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs \
      env -i -C /var/lib/creditrisk "$@"' sh "$root" "$kept" "${environment[@]}" "$@"
}
hardened sh -c '! touch /written 2>/dev/null && ! touch /opt/creditrisk/written 2>/dev/null && grep -q "^CapEff:.0*$" /proc/self/status && grep -q "^NoNewPrivs:.1" /proc/self/status'
echo "its root is read-only, its capabilities are none"
if [ "$target" = serving ]; then
  inside python3 -c 'import importlib.util as u; found = [n for n in "dagster mlflow pandas sklearn pandera scipy pyarrow pip".split() if u.find_spec(n)]; assert not found, found'
  echo "no Dagster, MLflow, pandas, scikit-learn, Pandera, SciPy, PyArrow or pip in it"
  # No model is published: it must start, say so on /ready, and stop when told.
  hardened timeout --preserve-status -s TERM 60 python3 -c '
import json, subprocess, time, urllib.error, urllib.request
service = subprocess.Popen(["creditrisk", "serve", "--host", "127.0.0.1", "--port", "18000"])
def ask(path):
    try:
        return urllib.request.urlopen("http://127.0.0.1:18000" + path, timeout=5).status
    except urllib.error.HTTPError as answer:
        return answer.code
    except OSError:
        return None
while ask("/health") is None and service.poll() is None:
    time.sleep(0.2)
assert (ask("/health"), ask("/ready")) == (200, 503), (ask("/health"), ask("/ready"))
service.terminate()
print("it answers: live, not ready without a model; stopped with", service.wait(30))
'
else
  [ "$target" = batch ] || hardened python3 - <deploy/images/orchestration.py
  hardened creditrisk score --help >/dev/null
  if [ "$target" = batch ] && [ -n "${PROOF_HOME:-}" ]; then
    cp -r "$PROOF_HOME/." "$kept" && cp -r "${PROOF_INPUT:?"name a directory of raw tables"}" "$kept/input"
    hardened creditrisk score input --out scores.parquet
    hardened creditrisk verify-batch scores.parquet
  fi
fi
echo "size of /opt/creditrisk: $(inside du -sm /opt/creditrisk | cut -f1) MB"
