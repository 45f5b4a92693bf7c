"""The Assistants API by the official Python SDK: what code written for OpenAI's does, through a gateway on the sandbox."""

import asyncio
import itertools
import json
import os
import unittest
import warnings

import openai
from openai import AssistantEventHandler, AsyncAssistantEventHandler, AsyncOpenAI, OpenAI

BASE_URL = os.environ["THROUGHWAY_BASE_URL"]
KEY = os.environ["THROUGHWAY_KEY"]

TUTOR = {
    "name": "Math Tutor",
    "instructions": "You are a math tutor. Help solve equations.",
    "model": "gpt-4o",
}
EQUATION = {"role": "user", "content": "Solve 3x + 11 = 14"}
SOLVED = "The solution is x = 1."
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PLAIN_EVENTS = [
    "thread.run.created",
    "thread.run.queued",
    "thread.run.in_progress",
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.delta",
    "thread.message.completed",
    "thread.run.step.completed",
    "thread.run.completed",
]


def text_of(message):
    return "".join(part.text.value for part in message.content if part.type == "text")


def once_each(events):
    """Events that follow themselves count once."""
    return [event for at, event in enumerate(events) if at == 0 or events[at - 1] != event]


class Listener(AssistantEventHandler):
    def __init__(self):
        super().__init__()
        self.events = []
        self.text = ""
        self.calls = []

    def on_event(self, event):
        self.events.append(event.event)

    def on_text_delta(self, delta, snapshot):
        self.text += delta.value or ""

    def on_tool_call_done(self, tool_call):
        self.calls.append((tool_call.function.name, json.loads(tool_call.function.arguments)))


class Assistants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # The SDK says of every call that OpenAI has retired the API.
        warnings.simplefilter("ignore", DeprecationWarning)
        cls.client = OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0)
        cls.beta = cls.client.beta
        cls.assistant = cls.beta.assistants.create(**TUTOR)

    @classmethod
    def tearDownClass(cls):
        cls.beta.assistants.delete(cls.assistant.id)
        cls.client.close()

    def test_the_well_known_example_runs_on_every_base_url_in_every_way(self):
        def polled(runs, ids):
            run = runs.create(**ids)
            while run.status in ("queued", "in_progress"):
                run = runs.retrieve(thread_id=run.thread_id, run_id=run.id)
            return run

        def streamed(runs, ids):
            with runs.stream(**ids) as stream:
                return stream.get_final_run()

        ways = {"create": polled, "create_and_poll": lambda runs, ids: runs.create_and_poll(**ids), "stream": streamed}
        base_urls = (BASE_URL, BASE_URL + "/", BASE_URL + "/v1", BASE_URL + "/v1/")
        for base_url, way in itertools.product(base_urls, ways):
            with self.subTest(base_url=base_url, way=way), openai.OpenAI(base_url=base_url, api_key=KEY) as client:
                assistant = client.beta.assistants.create(
                    name="Math Tutor", instructions="You are a math tutor. Help solve equations.", model="gpt-4o"
                )
                thread = client.beta.threads.create()
                client.beta.threads.messages.create(thread.id, role="user", content="Solve 3x + 11 = 14")
                run = ways[way](client.beta.threads.runs, {"thread_id": thread.id, "assistant_id": assistant.id})
                self.assertEqual(run.status, "completed")
                messages = client.beta.threads.messages.list(thread_id=thread.id)
                self.assertTrue(text_of(messages.data[0]).endswith(SOLVED))
                self.assertTrue(client.beta.assistants.delete(assistant.id).deleted)

    def test_objects_are_made_read_changed_listed_and_deleted(self):
        made = self.beta.assistants.create(**TUTOR, tools=[WEATHER], metadata={"course": "algebra"})
        self.assertEqual(self.beta.assistants.retrieve(made.id), made)
        self.assertEqual(self.beta.assistants.update(made.id, name="Tutor").name, "Tutor")
        self.assertIn(made.id, [each.id for each in self.beta.assistants.list(limit=1)])
        self.assertTrue(self.beta.assistants.delete(made.id).deleted)
        with self.assertRaisesRegex(openai.NotFoundError, f"No assistant found with id '{made.id}'"):
            self.beta.assistants.retrieve(made.id)

        thread = self.beta.threads.create(messages=[EQUATION], metadata={"of": "Ada"})
        self.assertEqual(self.beta.threads.retrieve(thread.id), thread)
        self.assertEqual(self.beta.threads.update(thread.id, metadata={"of": "Emmy"}).metadata, {"of": "Emmy"})
        message = self.beta.threads.messages.list(thread.id).data[0]
        self.assertEqual(self.beta.threads.messages.retrieve(message.id, thread_id=thread.id), message)
        self.assertTrue(self.beta.threads.messages.delete(message.id, thread_id=thread.id).deleted)
        self.assertTrue(self.beta.threads.delete(thread.id).deleted)

    def test_messages_are_paged_through_in_either_order(self):
        written = [f"message {number}" for number in range(25)]
        thread = self.beta.threads.create(messages=[{"role": "user", "content": text} for text in written])
        for order, expected in (("asc", written), ("desc", written[::-1])):
            listed = self.beta.threads.messages.list(thread.id, order=order, limit=10)
            self.assertEqual([text_of(message) for message in listed], expected)

    def test_create_and_poll_answers(self):
        thread = self.beta.threads.create(messages=[EQUATION])
        run = self.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=self.assistant.id)
        self.assertEqual(run.status, "completed")
        self.assertGreater(run.usage.total_tokens, 0)
        answer = self.beta.threads.messages.list(thread.id).data[0]
        self.assertTrue(text_of(answer).endswith(SOLVED))
        steps = self.beta.threads.runs.steps.list(run.id, thread_id=thread.id).data
        self.assertEqual([step.step_details.message_creation.message_id for step in steps], [answer.id])

    def test_create_and_run_poll_makes_thread_and_run(self):
        run = self.beta.threads.create_and_run_poll(
            assistant_id=self.assistant.id, thread={"messages": [EQUATION]}
        )
        self.assertEqual(run.status, "completed")

    def test_a_stream_calls_its_handler_in_order(self):
        thread = self.beta.threads.create(messages=[EQUATION])
        handler = Listener()
        with self.beta.threads.runs.stream(
            thread_id=thread.id, assistant_id=self.assistant.id, event_handler=handler
        ) as stream:
            stream.until_done()
            self.assertEqual(stream.get_final_run().status, "completed")
            final = stream.get_final_messages()
        self.assertEqual(once_each(handler.events), PLAIN_EVENTS)
        self.assertTrue(handler.text.endswith(SOLVED))
        self.assertEqual([text_of(message) for message in final], [handler.text])
        stored = self.beta.threads.messages.retrieve(final[0].id, thread_id=thread.id)
        self.assertEqual(text_of(stored), handler.text)

    def test_a_stream_is_read_as_text(self):
        with self.beta.threads.create_and_run_stream(
            assistant_id=self.assistant.id, thread={"messages": [EQUATION]}
        ) as stream:
            self.assertTrue("".join(stream.text_deltas).endswith(SOLVED))

    def test_a_stream_is_read_event_by_event(self):
        events = self.beta.threads.create_and_run(
            assistant_id=self.assistant.id, thread={"messages": [EQUATION]}, stream=True
        )
        self.assertEqual(once_each([event.event for event in events]), ["thread.created", *PLAIN_EVENTS])

    def test_a_functions_output_is_handed_in_while_polling(self):
        run = self.ask_for_weather()
        call = run.required_action.submit_tool_outputs.tool_calls[0]
        self.assertEqual(json.loads(call.function.arguments), {"city": "sandbox city"})
        done = self.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id, thread_id=run.thread_id, tool_outputs=[{"tool_call_id": call.id, "output": "21 degrees"}]
        )
        self.assertEqual(done.status, "completed")
        self.assertIn("21 degrees", text_of(self.beta.threads.messages.list(run.thread_id).data[0]))

    def test_a_functions_output_is_handed_in_while_streaming(self):
        thread = self.beta.threads.create(messages=[{"role": "user", "content": "How is the weather in Rome?"}])
        first = Listener()
        with self.beta.threads.runs.stream(
            thread_id=thread.id, assistant_id=self.assistant.id, tools=[WEATHER], event_handler=first
        ) as stream:
            stream.until_done()
            run = stream.current_run
        self.assertEqual(run.status, "requires_action")
        self.assertEqual(first.calls, [("get_weather", {"city": "sandbox city"})])
        call = run.required_action.submit_tool_outputs.tool_calls[0]
        second = Listener()
        with self.beta.threads.runs.submit_tool_outputs_stream(
            run_id=run.id,
            thread_id=thread.id,
            tool_outputs=[{"tool_call_id": call.id, "output": "21 degrees"}],
            event_handler=second,
        ) as stream:
            stream.until_done()
        self.assertEqual(
            once_each(second.events), ["thread.run.step.completed", "thread.run.queued", *PLAIN_EVENTS[2:]]
        )
        self.assertIn("21 degrees", second.text)

    def test_a_waiting_run_is_cancelled_and_locks_its_thread_until_then(self):
        run = self.ask_for_weather()
        with self.assertRaisesRegex(openai.BadRequestError, f"Can't add messages to {run.thread_id} while a run"):
            self.beta.threads.messages.create(run.thread_id, **EQUATION)
        self.assertEqual(self.beta.threads.runs.cancel(run.id, thread_id=run.thread_id).status, "cancelling")
        self.assertEqual(self.beta.threads.runs.poll(run.id, thread_id=run.thread_id).status, "cancelled")
        self.beta.threads.messages.create(run.thread_id, **EQUATION)

    def ask_for_weather(self):
        run = self.beta.threads.create_and_run_poll(
            assistant_id=self.assistant.id,
            thread={"messages": [{"role": "user", "content": "How is the weather in Rome?"}]},
            tools=[WEATHER],
        )
        self.assertEqual(run.status, "requires_action")
        return run


class AsyncListener(AsyncAssistantEventHandler):
    def __init__(self):
        super().__init__()
        self.events = []

    async def on_event(self, event):
        self.events.append(event.event)


class AsyncAssistants(unittest.TestCase):
    def test_runs_are_polled_and_streamed(self):
        async def scenario():
            async with AsyncOpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0) as client:
                assistant = await client.beta.assistants.create(**TUTOR)
                thread = await client.beta.threads.create(messages=[EQUATION])
                run = await client.beta.threads.runs.create_and_poll(
                    thread_id=thread.id, assistant_id=assistant.id
                )
                self.assertEqual(run.status, "completed")

                await client.beta.threads.messages.create(thread.id, role="user", content="Solve 2y = 8")
                handler = AsyncListener()
                async with client.beta.threads.runs.stream(
                    thread_id=thread.id, assistant_id=assistant.id, event_handler=handler
                ) as stream:
                    await stream.until_done()
                    messages = await stream.get_final_messages()
                self.assertEqual(once_each(handler.events), PLAIN_EVENTS)
                self.assertTrue(text_of(messages[0]).endswith("The solution is y = 4."))
                listed = [message async for message in client.beta.threads.messages.list(thread.id, limit=1)]
                self.assertEqual(len(listed), 4)
                await client.beta.assistants.delete(assistant.id)

        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.run(scenario())
