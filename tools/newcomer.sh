#!/usr/bin/env bash
# What a newcomer meets: an empty environment, the install, `hoprior demo`, its page in a browser, one example of the documents.
# Prints seconds for each, and megabytes on disk at the end.
#
#   bash tools/newcomer.sh [PACKAGE]      a wheel, a folder or a name; the repository that this lies in without
#
# TORCH_INDEX names the index that has torch's CPU build (PyTorch's own by default; empty for none). A browser is looked for
# under CHROMIUM, chromium and google-chrome; without one that step is left out and said so.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
package=${1:-$(cd "$(dirname "$0")/.." && pwd)}
[[ -e $package ]] && package=$(realpath "$package")
index=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}
browser=${CHROMIUM:-$(command -v chromium || command -v google-chrome || true)}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
unset PYTHONPATH
step() { # NAME COMMAND...
    timed "$@"
    printf '%-34s %4d s\n' "$1" "$took"
}
install() {
    python3 -m venv env
    env/bin/python -m pip install ${index:+--extra-index-url "$index"} "$package"
}
opened() { # a page with something on it: its text, and a picture that has more than one colour
    "$browser" --headless --no-sandbox --disable-gpu --virtual-time-budget=4000 --window-size=1000,800 \
        --screenshot="$place/page.png" "file://$place/demo/grasps/report.html"
    env/bin/python -c "
from PIL import Image
assert len(set(Image.open('$place/page.png').convert('RGB').resize((200, 160)).getdata())) > 50, 'the page is blank'"
}
whole=$SECONDS
step "install" install
step "hoprior demo" env/bin/hoprior demo
if [[ -n $browser ]]; then step "its report in a browser" opened; else echo "its report in a browser: no Chromium here, left out"; fi
step "refine, as the quickstart has it" env/bin/hoprior run refine --pose demo/hand.json --text "a hand holding a mug"
printf '%-34s %4d s\n' "all of it" $((SECONDS - whole))
printf '%-34s %4d MB\n' "on disk (environment)" "$(du -sm env | cut -f1)"
printf '%-34s %4d MB\n' "on disk (results)" "$(($(du -sm demo | cut -f1) + $(du -sm out | cut -f1)))"
