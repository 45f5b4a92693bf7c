"""The official Python SDK through a gateway on the sandbox: THROUGHWAY_BASE_URL and THROUGHWAY_KEY say where it is."""

import asyncio
import io
import json
import os
import unittest

import openai
from openai import AsyncOpenAI, OpenAI

BASE_URL = os.environ["THROUGHWAY_BASE_URL"]
KEY = os.environ["THROUGHWAY_KEY"]

SOLVE = [{"role": "user", "content": "Solve 3x + 11 = 14"}]
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class SyncClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def test_a_chat_completion_arrives_whole_with_its_usage_and_ids(self):
        raw = self.client.chat.completions.with_raw_response.create(model="gpt-4o", messages=SOLVE)
        reply = raw.parse()
        self.assertTrue(reply.choices[0].message.content.endswith("The solution is x = 1."))
        self.assertEqual((reply.usage.prompt_tokens, reply.usage.completion_tokens), (5, 30))
        self.assertRegex(raw.headers["x-throughway-exchange-id"], "^exc_")
        self.assertEqual(reply._request_id, raw.headers["x-request-id"])

    def test_a_streamed_chat_completion_says_the_same_in_many_chunks(self):
        stream = self.client.chat.completions.create(
            model="gpt-4o", messages=SOLVE, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        self.assertGreater(len(chunks), 4)
        self.assertTrue(text.endswith("The solution is x = 1."))
        self.assertEqual(chunks[-1].usage.total_tokens, 35)

    def test_a_function_tool_is_called_and_its_result_taken_up(self):
        messages = [{"role": "user", "content": "How is the weather in Rome?"}]
        tools = [{"type": "function", "function": WEATHER}]
        first = self.client.chat.completions.create(model="gpt-4o", messages=messages, tools=tools)
        message = first.choices[0].message
        call = message.tool_calls[0]
        self.assertEqual(json.loads(call.function.arguments), {"city": "sandbox city"})
        messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
        second = self.client.chat.completions.create(model="gpt-4o", messages=messages, tools=tools)
        self.assertIn("21 degrees", second.choices[0].message.content)

    def test_a_response_arrives_whole_with_its_usage(self):
        reply = self.client.responses.create(model="gpt-5.1", input="Solve 3x + 11 = 14")
        self.assertTrue(reply.output_text.endswith("The solution is x = 1."))
        self.assertEqual(reply.usage.total_tokens, 35)

    def test_a_streamed_response_ends_with_response_completed(self):
        events = list(self.client.responses.create(model="gpt-5.1", input="Solve 3x + 11 = 14", stream=True))
        self.assertEqual(events[0].type, "response.created")
        self.assertEqual(events[-1].type, "response.completed")
        self.assertEqual(events[-1].response.usage.total_tokens, 35)

    def test_embeddings_come_one_for_each_input(self):
        reply = self.client.embeddings.create(
            model="text-embedding-3-small", input=["one text", "another text"], dimensions=16
        )
        self.assertEqual([len(entry.embedding) for entry in reply.data], [16, 16])
        self.assertGreater(reply.usage.prompt_tokens, 0)

    def test_a_binary_file_of_5_mib_is_uploaded_and_read_back_byte_for_byte(self):
        content = bytes(range(256)) * 4096 * 5
        file = self.client.files.create(file=("bytes.bin", io.BytesIO(content)), purpose="user_data")
        self.assertEqual(file.bytes, len(content))
        self.assertEqual(self.client.files.content(file.id).read(), content)
        self.assertIn(file.id, [listed.id for listed in self.client.files.list()])
        self.assertTrue(self.client.files.delete(file.id).deleted)
        with self.assertRaises(openai.NotFoundError):
            self.client.files.retrieve(file.id)

    def test_an_image_is_drawn(self):
        reply = self.client.images.generate(model="gpt-image-1", prompt="a red dot")
        self.assertTrue(reply.data[0].b64_json.startswith("iVBORw0KGgo"))
        self.assertEqual(reply.usage.output_tokens, 272)

    def test_speech_is_spoken_and_transcribed(self):
        with self.client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts", voice="alloy", input="Hello"
        ) as speech:
            sound = b"".join(speech.iter_bytes())
        self.assertEqual(sound[:2], b"\xff\xfb")
        heard = self.client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("hello.mp3", sound))
        self.assertIn("sandbox", heard.text)

    def test_a_text_is_moderated(self):
        reply = self.client.moderations.create(input="I will kill the process")
        self.assertTrue(reply.results[0].flagged)

    def test_a_batch_is_created_waited_for_and_read(self):
        line = {"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "gpt-4o"}}
        file = self.client.files.create(file=("batch.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = self.client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        self.client.batches.retrieve(batch.id)
        batch = self.client.batches.retrieve(batch.id)
        self.assertEqual(batch.status, "completed")
        self.assertEqual(json.loads(self.client.files.content(batch.output_file_id).text)["custom_id"], "one")

    def test_a_realtime_conversation_is_answered(self):
        with self.client.realtime.connect(model="gpt-realtime") as connection:
            connection.conversation.item.create(
                item={
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Solve 3x + 11 = 14"}],
                }
            )
            connection.response.create()
            for event in connection:
                if event.type == "response.done":
                    break
            self.assertEqual(event.response.usage.total_tokens, 35)

    def test_a_wrong_key_is_an_authentication_error_with_its_code(self):
        stranger = self.client.with_options(api_key="sk-tw-not-a-key")
        with self.assertRaises(openai.AuthenticationError) as caught:
            stranger.chat.completions.create(model="gpt-4o", messages=SOLVE)
        self.assertEqual(caught.exception.code, "invalid_api_key")
        self.assertEqual(caught.exception.response.headers["x-throughway-refusal"], "invalid_api_key")

    def test_the_upstreams_own_404_is_not_a_refusal(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.models.retrieve("gpt-4o")
        self.assertNotIn("x-throughway-refusal", caught.exception.response.headers)


class AsyncClient(unittest.TestCase):
    def test_chat_and_responses_stream(self):
        async def scenario():
            async with AsyncOpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0) as client:
                stream = await client.chat.completions.create(model="gpt-4o", messages=SOLVE, stream=True)
                text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
                self.assertTrue(text.endswith("The solution is x = 1."))

                events = await client.responses.create(model="gpt-5.1", input="Solve 3x + 11 = 14", stream=True)
                self.assertEqual([event.type async for event in events][-1], "response.completed")

        asyncio.run(scenario())
