"""Prefect's side: reads runs from stdin, a JSON object a line, and answers each with a line when its flow has ended."""

import json
import sys

import null_steps as null
from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.task_runners import ThreadPoolTaskRunner

START = [None, 0]
REFINED = ["written", 1]

durable = task(cache_policy=TASK_SOURCE + INPUTS, persist_result=True)
index_dataset = durable(null.index_dataset)
embed = durable(null.embed)
generate = durable(null.generate)
score = durable(null.score)
write_feedback = durable(null.write_feedback)
record_item = durable(null.record_item)


@durable
def refine_item(root: str, run: str, item: dict) -> str:
    references = embed(root, run, item, START, [("clip_text", item["caption"]), ("image_similarity", item["trueImage"])])

    def round(at, prompt, feedback):
        made = generate(root, run, item, at, prompt)
        vectors = embed(root, run, item, at, [(name, made["image"]) for name in null.PICTURE_ENCODERS])
        scores = score(root, run, item, at, made["image"], vectors, references)
        return {"round": at[1], "prompt": prompt, "feedback": feedback, **made, "scores": scores}

    first = round(START, item["caption"], None)
    feedback = write_feedback(root, run, item, REFINED, first["image"])
    second = round(REFINED, f"{item['caption']} {feedback}", feedback)
    return record_item(root, run, item, [first, second])


def null_run(root: str, run: str, dataset: str, window: int):
    @flow(name="null", task_runner=ThreadPoolTaskRunner(max_workers=window))
    def refine():
        items = index_dataset(root, run, dataset)
        for future in [refine_item.submit(root, run, item) for item in items]:
            future.result()

    refine()


print("ready", flush=True)
for line in sys.stdin:
    null_run(**json.loads(line))
    print("done", flush=True)
