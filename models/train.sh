#!/bin/sh
# Makes the sets, trains both networks, exports and measures them. Stop it whenever you like:
# sets, checkpoints and finished stages stay in the cache folder and the next run goes on there.
#
#   models/train.sh [--quick] DATA [CACHE]
#
# --quick runs every step on next to nothing, in a few minutes, to see that the whole still works; it
# exports into the cache and leaves the models of this folder alone.
#
# FOLD=N (0 to 4) trains with that fold of the photographs held out instead of the first, in a folder of its
# own in the cache, and leaves the models here alone; the figures at the end show the held-out fold apart.
# Five such runs are a five-fold measurement: the made-up sets and the made-up stage are shared, the
# scenes (whose backgrounds are photographs) and what follows are trained anew.
#
# DATA holds the public pictures and glyphs (see README.md); CACHE defaults to a folder in the
# user's cache. THREADS (default: all cores) and EXTRA, passed to both trainers (such as
# --all-folds, or --sim DIR for the simulator's labelled frames), may be set. PROGRAM (default: portgate) reads
# the toll station's unlabelled plates with the models it was built with (station.py).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
quick=
[ "${1:-}" = --quick ] && { quick=1; shift; }
data=$(cd "${1:?usage: train.sh [--quick] DATA [CACHE]}" && pwd)
cache=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/portgate/models}
threads=${THREADS:-$(nproc)}
export OMP_NUM_THREADS="$threads" OMP_WAIT_POLICY=PASSIVE
venv="$(dirname "$cache")/venv-models"
# Chunks of crops and scenes; steps of recogniser and detector, made-up and real; of the recogniser's stage with
# real crops the steps that count of those the rate is planned for, then its further stages: the second of them with the
# steps that count and those planned for, then the two that part from it.
set -- 60 24 4000 4600 6000 3000 2800 700 2650 4000 2100 2400
out="$here"
if [ "$quick" ]; then
    set -- 1 2 60 20 20 10 15 10 6 10 6 6
    cache="$cache/quick"
    out="$cache/models"
    export PER_CHUNK=300
    rm -rf "$cache"
fi
fold=${FOLD:-}
if [ "$fold" ]; then
    base=$cache
    cache=$cache/fold-$fold
    out=$cache/models
    EXTRA="--fold $fold ${EXTRA:-}"
    mkdir -p "$base/crops" "$base/toll" "$base/station" "$cache"
    ln -sfn "$base/crops" "$cache/crops"
    ln -sfn "$base/toll" "$cache/toll"
    ln -sfn "$base/station" "$cache/station"
    if [ -e "$base/recogniser-synthetic.pt" ]; then
        cp "$base/recogniser-synthetic.pt" "$cache/"
        touch "$cache/recogniser.done"
    fi
fi
mkdir -p "$cache" "$out"

if [ ! -x "$venv/bin/python" ]; then
    echo "installing the Python packages of requirements.txt into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet -r "$here/requirements.txt"
fi
py="$venv/bin/python"
cd "$here"
sources="--glyphs $data/glyphs --blanks $data/plate-blanks"

stage() { # name command...: runs once, remembered by a file in the cache
    name=$1
    shift
    [ -e "$cache/$name.done" ] || { echo "== $name"; "$@"; touch "$cache/$name.done"; }
}

keep() { # name: the recogniser's weights after a stage, for the next to start from
    [ -e "$cache/recogniser-$1.pt" ] || cp "$cache/recogniser.pt" "$cache/recogniser-$1.pt"
}

stage toll "$py" real.py --data "$data" --out "$cache/toll"
stage crops "$py" make_crops.py $sources --out "$cache/crops" --chunks "$1" --workers "$threads"
stage crops-rare "$py" make_crops.py $sources --out "$cache/crops" --first "$1" --chunks "$((($1 + 6) / 7))" --often rare --workers "$threads"
stage crops-check "$py" make_crops.py $sources --out "$cache/crops" --chunks 1 --first 9000 --workers 1
stage scenes "$py" make_scenes.py $sources --data "$data" --cache "$cache" --chunks "$2" --workers "$threads" ${fold:+--fold "$fold"}

stage recogniser "$py" train_recogniser.py --cache "$cache" --steps "$3"
keep synthetic
further() { # stage, the one it starts from, options...: real crops beside the made-up ones
    to=$1
    from=$2
    shift 2
    stage "recogniser-$to" "$py" train_recogniser.py --cache "$cache" --stage "$to" \
        --start "$cache/recogniser-$from.pt" --data "$data" "$@" ${EXTRA:-}
    keep "$to"
}
further real synthetic --steps "$4" --stop "$7" --lr 0.0015 --real 0.25
further settled real --steps "$8" --lr 0.0004 --real 0.12
stage crops-focus "$py" make_crops.py $sources --out "$cache/crops" --first 70 --chunks "$((($1 + 5) / 6))" --often focus --workers "$threads"
further focus settled --steps "${10}" --stop "$9" --lr 0.0012 --real 0.12 --focus first --seed 8
stage station "$py" station.py --data "$data" --program "${PROGRAM:-portgate}" --out "$cache/station"
stage crops-last "$py" make_crops.py $sources --out "$cache/crops" --first 200 --chunks "$((($1 + 5) / 6))" --often last --workers "$threads"
further last focus --steps "${11}" --lr 0.001 --real 0.12 --focus last --seed 8
further station focus --steps "${12}" --lr 0.0012 --real 0.2 --station "$cache/station" --focus last --seed 9
stage detector "$py" train_detector.py --cache "$cache" --steps "$5"
[ -e "$cache/detector-synthetic.pt" ] || cp "$cache/detector.pt" "$cache/detector-synthetic.pt"
stage detector-real "$py" train_detector.py --cache "$cache" --stage real --start "$cache/detector-synthetic.pt" \
    --steps "$6" --lr 0.001 --real 0.3 --data "$data" ${EXTRA:-}

"$py" export.py --cache "$cache" --out "$out" \
    --mean 0.45:recogniser-focus.pt 0.45:recogniser-station.pt 0.1:recogniser-last.pt
for setting in normal hard; do
    stage "pictures-$setting" "$py" make_pictures.py $sources --out "$cache/pictures-$setting" --setting "$setting" \
        ${quick:+--number 130}
done
"$py" evaluate.py --data "$data" --models "$out" ${quick:+--first 12} ${fold:+--fold "$fold"}
echo "measured by the program itself: portgate evaluate --models $out $cache/pictures-normal $cache/pictures-hard;"
echo "confidence_odds: calibrate.py"
