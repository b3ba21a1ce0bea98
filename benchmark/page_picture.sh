#!/usr/bin/env bash
# The picture of a report in the README: the top of the demo's page, by headless Chromium. After `make demo`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
page=$(find demo/results -name '*_qsm.html' | head -n 1)
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1000,1045 --screenshot=docs/report.png "file://$PWD/$page"
