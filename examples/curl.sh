#!/bin/sh
# One question, one answer: OPENAI_BASE_URL=http://localhost:4000/openai OPENAI_API_KEY=sk-tw-... sh examples/curl.sh
set -eu

curl --fail-with-body --silent --show-error "$OPENAI_BASE_URL/chat/completions" \
  --header "Authorization: Bearer $OPENAI_API_KEY" \
  --header 'Content-Type: application/json' \
  --data '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Solve 3x + 11 = 14"}]}'
echo
