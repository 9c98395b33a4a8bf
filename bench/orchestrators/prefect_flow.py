"""
Prefect's side: a flow a run, a task a call; as many items at once as the window has room for. Reads runs from stdin, a JSON object a line, and
answers each with a line when its flow has ended.

Each task keeps its result under a key of its source and inputs, so that another run of the flow takes what is finished from there. Items are plain
coroutines: within a task of their own (or any other transaction) the results of their steps would be kept only when the whole item has ended.
"""

import asyncio
import functools
import json
import sys

import null_steps as null
from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE

START = [None, 0]
REFINED = ["written", 1]


def durable(call):
    """A task that waits for the disk in a thread."""

    @functools.wraps(call)
    async def in_thread(*args):
        return await asyncio.to_thread(call, *args)

    return task(in_thread, cache_policy=TASK_SOURCE + INPUTS, persist_result=True)


index_dataset = durable(null.index_dataset)
embed = durable(null.embed)
generate = durable(null.generate)
score = durable(null.score)
write_feedback = durable(null.write_feedback)
record_item = durable(null.record_item)


async def refine_item(root: str, run: str, item: dict) -> None:
    references = await embed(root, run, item, START, [("clip_text", item["caption"]), ("image_similarity", item["trueImage"])])

    async def round(at, prompt, feedback):
        made = await generate(root, run, item, at, prompt)
        vectors = await embed(root, run, item, at, [(name, made["image"]) for name in null.PICTURE_ENCODERS])
        scores = await score(root, run, item, at, made["image"], vectors, references)
        return {"round": at[1], "prompt": prompt, "feedback": feedback, **made, "scores": scores}

    first = await round(START, item["caption"], None)
    feedback = await write_feedback(root, run, item, REFINED, first["image"])
    second = await round(REFINED, f"{item['caption']} {feedback}", feedback)
    await record_item(root, run, item, [first, second])


@flow(name="refine", validate_parameters=False)
async def refine(root: str, run: str, dataset: str, window: int) -> None:
    items = await index_dataset(root, run, dataset)
    room = asyncio.Semaphore(window)

    async def in_turn(item):
        async with room:
            await refine_item(root, run, item)

    await asyncio.gather(*(in_turn(item) for item in items))


print("ready", flush=True)
for line in sys.stdin:
    asyncio.run(refine(**json.loads(line)))
    print("done", flush=True)
