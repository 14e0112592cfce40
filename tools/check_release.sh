#!/usr/bin/env bash
# What would be uploaded works: the wheel in an environment of its own and without a network, and the sources' own tests,
# unpacked elsewhere. Prints seconds for each step.
#
#   bash tools/check_release.sh [DIST]     the folder that `make release-check` fills; dist/ without
#
# DEPENDENCIES names an environment (.venv, say) whose packages are borrowed, which takes seconds; a hoprior among them does not count.
# Without, they are installed as a user would (TORCH_INDEX: the index of torch's CPU build, as in newcomer.sh).
# TESTS names the tests of the sources that are run.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
dist=$(realpath "${1:-dist}")
index=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}
borrowed=${DEPENDENCIES:+$(realpath "$DEPENDENCIES")}
tests=${TESTS:-tests/hand tests/rendering tests/results tests/test_public_names.py tests/test_commands_shown.py tests/test_release.py}
wheel=$(ls "$dist"/hoprior-*.whl)
sources=$(ls "$dist"/hoprior-*.tar.gz)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
unset PYTHONPATH
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
offline=()
if unshare -rn true 2>/dev/null; then offline=(unshare -rn); else echo "no namespaces here: the network is only hidden by proxies"; fi
step() { # NAME COMMAND..., and the last line of what it said
    timed "$@"
    printf '%-44s %4d s   %s\n' "$1" "$took" "$(tail -1 "$place/log" | cut -c1-80)"
}
alone() { # COMMAND..., with no network and nothing of the user's
    env http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 HOME="$place/home" "${offline[@]}" "$@"
}
environment() { # NAME WHAT...: what is installed comes before what is borrowed
    local name=$1
    shift
    if [[ -n $borrowed ]]; then
        "$borrowed/bin/python" -m venv --without-pip "$name"
        "$name/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))" >where
        "$borrowed/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))" >"$(cat where)/borrowed.pth"
        "$borrowed/bin/python" -m pip --python "$name/bin/python" install --quiet --no-deps "${@%\[dev\]}"
    else
        python3 -m venv "$name"
        "$name/bin/python" -m pip install --quiet ${index:+--extra-index-url "$index"} "$@"
    fi
    "$place/$name/bin/python" -c "import hoprior, sys; assert hoprior.__file__.startswith(sys.prefix), hoprior.__file__"
}
works() { # every task, from the files that are in the wheel
    local hoprior=$place/env/bin/hoprior
    mkdir -p work && cd work
    alone "$hoprior" --help
    alone "$hoprior" doctor
    alone "$hoprior" demo --no-grasps --frames 6
    alone "$hoprior" run grasp --mesh demo/mug.obj --text "a mug" --num 1 --config.pool 256
    alone "$hoprior" run refine --pose demo/hand.json --text "a hand holding a mug"
    alone "$hoprior" run refine --image demo/photo.png
    alone "$hoprior" run generate --prior pose --text "a hand holding a ball" --num 1
    alone "$hoprior" run reconstruct --clip demo/clip --text "a mug" --minutes 0.2
    alone "$hoprior" fit --config contrastive --print_config
    test -f out/mug_grasps/report.html -a -f out/clip_reconstruction/object.glb
    echo "$(ls -d out/* | wc -l) folders of results"
}
tested() { # against the package that they are installed as, not the folder that they lie in
    cd "$place"/unpacked/hoprior-*
    mv hoprior not_here
    # shellcheck disable=SC2086
    "$place/tested/bin/python" -m pytest -q -p no:cacheprovider -m "not slow" $tests
}
step "the wheel in an empty environment" environment env "$wheel"
step "every task without a network" works
cd "$place" && mkdir unpacked && tar xzf "$sources" -C unpacked
step "the sources in another" environment tested "$(echo unpacked/hoprior-*)[dev]"
step "their own tests" tested
