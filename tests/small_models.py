"""Every model in a size that a test can afford; a model without a line here is not tested."""

SMALL = {
    "cnn": {"channels": [8, 8, 8, 8], "n_dense": [16]},
    "crnn": {"channels": [8, 8, 8], "n_hidden": 8, "n_attention": 8},
    "parallel_cnn_lstm": {"channels": [4, 8, 8, 8], "n_hidden": 8},
    "stacked_cnn_lstm": {"chunk": 32, "hop": 16, "channels": [4, 8, 8], "n_hidden": 8},
    "cnn_transformer": {
        "channels": [4, 8, 8, 8],
        "n_model": 8,
        "n_layers": 2,
        "n_heads": 2,
        "n_dense": 16,
    },
    "cnn_pooling_lstm": {"channels": [4, 8, 8], "n_hidden": [8, 8], "n_dense": [16, 8]},
    "branched_lstm": {"n_face": 6, "n_hidden": 16, "n_heads": 2, "n_dense": [16, 16, 16]},
    "av_attention": {"n_face": 6, "n_hidden": 8, "n_heads": 2, "n_dense": 16},
    "tcn": {"n_filters": 8},
    "superb": {"n_hidden": 64},
    "logistic": {},
    "svm": {"n_support": 12},
}

# A setting that makes another network of one: (name, settings).
KINDS = {name: (name, settings) for name, settings in SMALL.items()} | {
    "crnn over time alone": ("crnn", {**SMALL["crnn"], "image": False}),
}

# It looks at no voice: test_models_face.py holds it to the same.
OF_FACES = {"face_cnn_lstm"}
FACE_CNN = {"n_face": 256, "channels": [4, 8], "n_hidden": 8}

# It takes waveforms and an encoder's files: test_speech_encoder.py holds it to the same.
OF_WAVEFORMS = {"speech_encoder"}
