"""lm-evaluation-harness's side of local_models.py: its `hf` model, asked the same requests. Runs in that package's own environment.

One JSON object a line on standard input ({"kind", "requests", "batch"}), one a line on standard output ({"seconds", "mib", "values"}).
"""

import json
import resource
import sys
import time

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM


def main() -> None:
    weights, tokenizer = sys.argv[1:3]
    answers, sys.stdout = sys.stdout, sys.stderr
    model = HFLM(pretrained=weights, tokenizer=tokenizer, dtype="float32", device="cpu", batch_size=1)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        requests = []
        for context, texts in wanted["requests"]:
            if wanted["kind"] == "likelihood":
                requests += [("loglikelihood", (context, text)) for text in texts]
            else:
                requests.append(("generate_until", (context, {"until": texts, "max_gen_toks": wanted["tokens"], "do_sample": False})))
        instances = [Instance(request_type=kind, doc={}, arguments=arguments, idx=i) for i, (kind, arguments) in enumerate(requests)]
        model.batch_size_per_gpu = wanted["batch"]
        began = time.perf_counter()
        ask = model.loglikelihood if wanted["kind"] == "likelihood" else model.generate_until
        values = ask(instances, disable_tqdm=True)
        seconds = time.perf_counter() - began
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "mib": mib, "values": values}), file=answers, flush=True)


main()
