"""
Dagster's side: one run of a graph with a chain of ops an item, an op a call.

Dynamic mapping over the dataset would be the usual graph, but does not survive: re-executed from failure after SIGKILL, such a run does what had begun, leaves
out each item that had not, and ends as a success (dagster-io/dagster#20925). So the graph is built from the dataset when the code is loaded.

The executor is the one in the run's process: like the other, it is continued from its event log and the values that
FilesystemIOManager has written, and does not pay for a process a step (the other, with a fork server and eight steps at once, took four
times as long). It runs one op at a time, whatever the window: what of an item is known goes from op to op as one value, because each
input is two events, and each event one commit to SQLite.
"""

import json
import os

import null_steps as null
from dagster import Config, Definitions, Out, Output, graph, in_process_executor, op

START = [None, 0]
REFINED = ["written", 1]


class Run(Config):
    root: str
    run: str


@op
def embed_references(state: dict) -> dict:
    item = state["of"]["item"]
    subjects = [("clip_text", item["caption"]), ("image_similarity", item["trueImage"])]
    return {**state, "references": null.embed(**state["of"], at=START, subjects=subjects)}


@op
def generate(state: dict) -> dict:
    feedback = state.get("feedback")
    caption = state["of"]["item"]["caption"]
    at, prompt = (START, caption) if feedback is None else (REFINED, f"{caption} {feedback}")
    made = null.generate(**state["of"], at=at, prompt=prompt)
    return {**state, "at": at, "made": {"prompt": prompt, "feedback": feedback, **made}}


@op
def embed_picture(state: dict) -> dict:
    subjects = [(name, state["made"]["image"]) for name in null.PICTURE_ENCODERS]
    return {**state, "vectors": null.embed(**state["of"], at=state["at"], subjects=subjects)}


@op
def score(state: dict) -> dict:
    image, vectors, references = state["made"]["image"], state["vectors"], state["references"]
    scores = null.score(**state["of"], at=state["at"], image=image, vectors=vectors, references=references)
    return {**state, "rounds": [*state["rounds"], {"round": state["at"][1], **state["made"], "scores": scores}]}


@op
def write_feedback(state: dict) -> dict:
    return {**state, "feedback": null.write_feedback(**state["of"], at=REFINED, picture=state["made"]["image"])}


@op
def record_item(state: dict) -> str:
    return null.record_item(**state["of"], rounds=state["rounds"])


@graph
def refine_item(state):
    first = score(embed_picture(generate(embed_references(state))))
    return record_item(score(embed_picture(generate(write_feedback(first)))))


def job_over(name: str, dataset: str):
    keys = [item["key"] for item in null.read_dataset(dataset)]

    @op(name=f"index_{name}", out={f"item_{key}": Out() for key in keys})
    def index_dataset(config: Run):
        where = {"root": config.root, "run": config.run}
        for item in null.index_dataset(dataset=dataset, **where):
            yield Output({"of": {**where, "item": item}, "rounds": []}, f"item_{item['key']}")

    @graph(name=name)
    def refine():
        for key, state in zip(keys, index_dataset()):
            refine_item.alias(f"item_{key}")(state)

    return refine.to_job(executor_def=in_process_executor)


defs = Definitions(jobs=[job_over(name, dataset) for name, dataset in json.loads(os.environ["DATASETS"]).items()])
