"""Writes the files in `files/`, each by the tool whose format it has: python make_files.py TOOL [FOLDER].

The tools are no dependency of archbench; install TOOL alone beside it: `pip install wandb==0.31.0`, `mlflow==3.17.2`,
`trackio[spaces]==0.43.0`, `tensorboard==2.21.0` (and torch), or `transformers==5.23.0 accelerate==1.15.0`. The versions
are those that wrote the files here.

What is logged are losses of a made-up law, L(N, D) = 1.5 + A/N^0.15 + 60/D^0.25, where A is 12 for `gpt2` and 11 for
`llama`: every format tells one story, and what is read can be held against it. The Trainer alone trains, since nothing
else writes its state: GPT-2 and Llama of four sizes, 40 steps each, on a text that it makes.

nanochat's and llm.c's files are written in their documented form (nanochat: runs/scaling_laws.sh,
scripts/base_train.py, nanochat/logfmt.py; nanoGPT: train.py; llm.c: llmc/logger.h): the programs need GPUs.
"""

import gzip
import os
import shutil
import sys
from pathlib import Path
from typing import Any

SIZES = (20_000, 40_000, 80_000, 160_000)
SCALES = {"gpt2": 12.0, "llama": 11.0}
BATCH_TOKENS = 4096
STEPS = 400
EVERY = 100


def loss(architecture: str, params: int, step: int) -> float:
    """Held-out loss of the law, in nats per token; near ln V before the first step."""
    if not step:
        return 5.5
    return float(1.5 + SCALES[architecture] / params**0.15 + 60.0 / (step * BATCH_TOKENS) ** 0.25)


def runs() -> list[tuple[str, str, int]]:
    """Name, architecture and N of each run."""
    return [(f"{arch}-{size // 1000}k", arch, size) for arch in SCALES for size in SIZES]


def settings(arch: str, size: int) -> dict[str, Any]:
    """What a run states of itself."""
    return {"architecture": arch, "n_params": size, "batch_tokens": BATCH_TOKENS, "lr": 1e-3, "seed": 0}


def write_wandb(folder: Path) -> None:
    """Offline files. Steps are logged as `iter`, as nanoGPT does; training rows stand between evaluations."""
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DISABLE_GIT": "true"}
    import wandb

    for name, arch, size in runs():
        run = wandb.init(
            project="scan",
            name=name,
            dir=folder,
            config=settings(arch, size),
            settings=wandb.Settings(
                x_disable_stats=True, x_disable_meta=True, console="off", host="host", username="user"
            ),
        )
        for step in range(0, STEPS + 1, EVERY // 2):
            row = {"iter": step, "train/loss": loss(arch, size, step) - 0.1}
            if step % EVERY == 0:
                row["val/loss"] = loss(arch, size, step)
            run.log(row)
        run.finish()
        [written] = (folder / "wandb").glob(f"offline-run-*/run-{run.id}.wandb")
        written.rename(folder / f"run-{run.id}.wandb")
    shutil.rmtree(folder / "wandb")


def write_mlflow(folder: Path) -> None:
    """The folder `mlruns` (of one run, for it has many files), and all runs in a database and in a CSV of it."""
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    import mlflow

    for store, chosen in (
        (f"file://{folder.absolute()}/mlruns", runs()[:1]),
        (f"sqlite:///{folder.absolute()}/mlflow.db", runs()),
    ):
        mlflow.set_tracking_uri(store)
        mlflow.set_experiment("scan")
        for name, arch, size in chosen:
            with mlflow.start_run(run_name=name, tags={"mlflow.user": "user", "mlflow.source.name": "train.py"}):
                mlflow.log_params(settings(arch, size))
                for step in range(0, STEPS + 1, EVERY):
                    metrics = {"val/loss": loss(arch, size, step), "tokens": step * BATCH_TOKENS}
                    mlflow.log_metrics(metrics, step=step)
    mlflow.search_runs(experiment_names=["scan"]).to_csv(folder / "runs.csv")
    _pack(folder / "mlflow.db")


def write_trackio(folder: Path) -> None:
    """A project's database, and its export to Parquet."""
    os.environ["TRACKIO_DIR"] = str(folder.absolute())
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    for name, arch, size in runs():
        trackio.init(project="scan", name=name, config=settings(arch, size))
        for step in range(0, STEPS + 1, EVERY):
            trackio.log({"train/loss": loss(arch, size, step) - 0.1}, step=step)
            trackio.log({"val/loss": loss(arch, size, step)}, step=step)
        trackio.finish()
    SQLiteStorage.export_to_parquet()
    _pack(folder / "scan.db")
    (folder / "scan.lock").unlink()


def _pack(database: Path) -> None:
    """An empty database of these tools takes up to a megabyte, nearly all of it zeros."""
    database.with_name(f"{database.name}.gz").write_bytes(gzip.compress(database.read_bytes(), mtime=0))
    database.unlink()


def write_tensorboard(folder: Path) -> None:
    """Event files as torch's SummaryWriter writes them, a folder for each run."""
    from torch.utils.tensorboard import SummaryWriter

    for name, arch, size in runs():
        writer = SummaryWriter(folder / name)
        for step in range(0, STEPS + 1, EVERY):
            writer.add_scalar("train/loss", loss(arch, size, step) - 0.1, step)
            writer.add_scalar("eval/loss", loss(arch, size, step), step)
        writer.close()


def write_hf_trainer(folder: Path) -> None:
    """`trainer_state.json` of small models that the Trainer trained."""
    import torch
    from transformers import (
        GPT2Config,
        GPT2LMHeadModel,
        LlamaConfig,
        LlamaForCausalLM,
        PreTrainedModel,
        Trainer,
        TrainingArguments,
    )

    torch.set_num_threads(1)
    text = "".join(f"{number} and {number + 1} make {2 * number + 1}. " for number in range(2500)).encode()
    rows = [{"input_ids": list(text[at : at + 64]), "labels": list(text[at : at + 64])} for at in range(0, 40_000, 64)]
    for width in (8, 16, 32, 64):
        small = GPT2Config(n_embd=width, n_layer=2, n_head=2, vocab_size=256, n_positions=64)
        other = LlamaConfig(
            hidden_size=width, intermediate_size=4 * width, num_hidden_layers=2, num_attention_heads=2, vocab_size=256
        )
        torch.manual_seed(0)
        models: dict[str, PreTrainedModel] = {"gpt2": GPT2LMHeadModel(small), "llama": LlamaForCausalLM(other)}
        for arch, model in models.items():
            total = model.num_parameters()
            arguments = TrainingArguments(
                output_dir=str(folder / f"{arch}-{total}"),
                max_steps=40,
                per_device_train_batch_size=8,
                per_device_eval_batch_size=32,
                learning_rate=3e-3,
                logging_steps=20,
                eval_strategy="steps",
                eval_steps=10,
                save_strategy="no",
                report_to=[],
                use_cpu=True,
                disable_tqdm=True,
                include_num_input_tokens_seen="all",
            )
            trainer = Trainer(model, arguments, train_dataset=rows[:500], eval_dataset=rows[500:])
            trainer.train()
            trainer.save_state()


def write_nanochat(folder: Path) -> None:
    """A sweep's CSV, logs of nanochat before and after its logs had records, of nanoGPT and of llm.c."""
    header = (
        "flops_budget,depth,model_dim,params_wte,params_value_embeds,params_lm_head,params_transformer,params_scalars,"
        "params_total,num_iterations,tokens_trained,val_bpb,core_score,train_time_sec"
    )
    lines = [header]
    for number, size in enumerate(SIZES):
        for steps in (200, 400):
            flops = 6 * size * steps * BATCH_TOKENS
            bpb = loss("gpt2", size, steps) / 4
            counts = f"8000,8000,8000,{size - 20},20,{size + 24_000}"
            depth = 2 * (number + 1)
            lines.append(f"{flops:.0e},{depth},{64 * depth},{counts},{steps},{steps * BATCH_TOKENS},{bpb:.6f},0.0,9")
    (folder / "results.csv").write_text("\n".join(lines) + "\n")
    evaluated = range(0, STEPS + 1, EVERY)
    for name, arch, size in runs():
        printed = ["Parameter counts:"]
        counts_of = {"wte": 8000, "lm_head": 8000, "transformer_matrices": size - 20, "scalars": 20}
        printed += [f"{key:24s}: {value:,}" for key, value in (counts_of | {"total": size + 16_000}).items()]
        printed.append(f"Total batch size {BATCH_TOKENS:,} => gradient accumulation steps: 1")
        for step in evaluated:
            printed.append(f"Step {step:05d} | Validation bpb: {loss(arch, size, step) / 4:.6f}")
            printed.append(f"step {step:05d}/00400 (1.00%) | loss: 3.000000 | lrm: 1.00 | dt: 9.00ms | tok/sec: 9,000")
        (folder / f"{name}.log").write_text("\n".join(printed) + "\n")
    name, arch, size = runs()[0]
    records = [
        f"params wte=8000 lm_head=8000 transformer_matrices={size - 20} scalars=20 total={size + 16_000}",
        *(f"eval step={step} val_bpb={loss(arch, size, step) / 4:.6f}" for step in evaluated),
        f"summary model_tag=d2 depth=2 num_iterations={STEPS} total_batch_size={BATCH_TOKENS} gpu='NVIDIA H100 80GB'",
    ]
    (folder / "records").mkdir(exist_ok=True)
    (folder / "records" / "base_train.log").write_text("\n".join(records) + "\n")
    nano = [f"tokens per iteration will be: {BATCH_TOKENS:,}", "number of parameters: 0.02M"]
    for step in evaluated:
        nano.append(
            f"step {step}: train loss {loss(arch, size, step) - 0.1:.4f}, val loss {loss(arch, size, step):.4f}"
        )
        nano.append(f"iter {step}: loss 3.0000, time 9.00ms, mfu 1.00%")
    (folder / "nanogpt.txt").write_text("\n".join(nano) + "\n")
    (folder / "llmc").mkdir(exist_ok=True)
    logged = [
        f"s:{step} tel:{loss(arch, size, step):.4f}\ns:{step} trl:3.0 lr:0.000600 norm:1.00" for step in evaluated
    ]
    (folder / "llmc" / "main.log").write_text("\n".join(logged) + "\ns:400 eval:0.2500\n")


def main() -> None:
    """Writes the files of the tool that the command line names."""
    tool = sys.argv[1]
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "files" / tool
    folder.mkdir(parents=True, exist_ok=True)
    globals()[f"write_{tool.replace('-', '_')}"](folder)


if __name__ == "__main__":
    main()
