"""
Dagster's side: one run whose graph an item is mapped over the dataset, an op a call.

The executor is the one in the run's process: like the other, it is continued from its event log and the values that
FilesystemIOManager has written, and does not pay for a process a step (the other, with a fork server and eight steps at once, took four
times as long). It runs one op at a time, whatever the window: what of an item is known goes from op to op as one value, because each
input is two events, and each event one commit to SQLite.
"""

import null_steps as null
from dagster import Config, Definitions, DynamicOut, DynamicOutput, graph, in_process_executor, op

START = [None, 0]
REFINED = ["written", 1]


class Run(Config):
    root: str
    run: str
    dataset: str


@op(out=DynamicOut())
def index_dataset(config: Run):
    where = {"root": config.root, "run": config.run}
    for item in null.index_dataset(dataset=config.dataset, **where):
        yield DynamicOutput({"of": {**where, "item": item}, "rounds": []}, mapping_key=item["key"])


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


@graph
def refine():
    index_dataset().map(refine_item)


defs = Definitions(jobs=[refine.to_job(executor_def=in_process_executor)])
