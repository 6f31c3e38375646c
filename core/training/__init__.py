"""What a training run needs besides tensors: resuming, signals, processes, validation, the guard against collapse."""
