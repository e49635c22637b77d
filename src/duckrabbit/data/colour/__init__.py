"""CIFAR-10 and SVHN."""
