"""What a training of the post's network is: data, specification, network, engine."""
