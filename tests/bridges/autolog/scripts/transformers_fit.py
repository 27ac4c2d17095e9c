# ruff: noqa: E402 (what is tested is that a library is imported after the recording was switched on)
import charkh

charkh.autolog("transformers")

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 20}
model = BertForSequenceClassification(BertConfig(**shape, num_labels=2))
rows = [{"input_ids": torch.tensor([1, 2, 3]), "labels": torch.tensor(each % 2)} for each in range(8)]
settings = {"num_train_epochs": 2, "per_device_train_batch_size": 4, "logging_steps": 1, "report_to": []}
settings |= {"eval_strategy": "epoch", "save_strategy": "no", "use_cpu": True, "disable_tqdm": True}
Trainer(model, TrainingArguments("out", run_name="bert", **settings), train_dataset=rows, eval_dataset=rows).train()
