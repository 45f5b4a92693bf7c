# An assistant, as code for the Assistants API makes it: OPENAI_API_KEY=sk-tw-... python examples/assistant.py
import os
import time

import openai

client = openai.OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://0.0.0.0:4000/openai"),
    api_key=os.environ["OPENAI_API_KEY"],
)

assistant = client.beta.assistants.create(
    name="Math Tutor",
    instructions="You are a math tutor. Help solve equations.",
    model="gpt-4o",
)
thread = client.beta.threads.create()
client.beta.threads.messages.create(thread_id=thread.id, role="user", content="Solve 3x + 11 = 14")

run = client.beta.threads.runs.create(thread_id=thread.id, assistant_id=assistant.id)
while run.status in ("queued", "in_progress"):
    time.sleep(0.2)
    run = client.beta.threads.runs.retrieve(thread_id=thread.id, run_id=run.id)
print(f"The run is {run.status}.")

# The newest message comes first.
for message in client.beta.threads.messages.list(thread_id=thread.id):
    print(f"{message.role}: {message.content[0].text.value}")

client.beta.assistants.delete(assistant.id)
