# One question, one answer: OPENAI_BASE_URL=http://localhost:4000/openai OPENAI_API_KEY=sk-tw-... python examples/chat.py
from openai import OpenAI

# The SDK reads OPENAI_BASE_URL and OPENAI_API_KEY by itself.
client = OpenAI()

completion = client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "Solve 3x + 11 = 14"}],
)

print(completion.choices[0].message.content)
print(completion.usage)
