"""Small models that embed or score pairs, made at random and saved as folders; and a server of both."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TEXT = "red apples ripen in autumn ships sail by the wind bread is baked from flour a good fruit"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *TEXT.split()]


def save(folder, *, head=None, pooling=None, normalise=False, settings=None, max_seq_length=None, labels=1):
    """A random BERT of two layers; `head` is the class of transformers that is saved."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=32,
        num_labels=labels,
    )
    (head or transformers.BertModel)(config).save_pretrained(str(folder))
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.BertTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]"
    ).save_pretrained(str(folder))
    if pooling is not None:
        modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
        modules.append({"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"})
        if normalise:
            modules.append({"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"})
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({f"pooling_mode_{pooling}": True, "pooling_mode_max_x": False}))
    if settings is not None:
        (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    if max_seq_length is not None:
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": max_seq_length, "do_lower_case": False}))
    return folder


def letters(text):
    """A vector that a person can work out: how often each letter occurs."""
    return [float(text.lower().count(chr(97 + i))) for i in range(26)]


class EncoderServer:
    """`/v1/embeddings` and `/v1/rerank` of `letters`; a context manager that gives the URL.

    Attributes:
        bodies: what was sent.
        wrong: what is answered instead, where it is set.
    """

    def __init__(self):
        self.bodies, self.wrong = [], None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.bodies.append(body)
                answer = outer.wrong or (outer.embed(body) if self.path == "/v1/embeddings" else outer.rerank(body))
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def embed(self, body):
        vectors = [{"index": i, "embedding": letters(text)} for i, text in enumerate(body["input"])]
        return {"data": vectors[::-1], "model": body["model"]}

    def rerank(self, body):
        query = letters(body["query"])
        scores = [sum(a * b for a, b in zip(query, letters(text), strict=True)) for text in body["documents"]]
        return {"results": [{"index": i, "relevance_score": score} for i, score in enumerate(scores)][: body["top_n"]]}

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
