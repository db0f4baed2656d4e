"""The commands, one module each. Importing them imports no torch; a command's work does, when it runs."""

from dogsgan.commands import (
    audit,
    cache,
    check,
    compare,
    demo,
    evaluate,
    floor,
    generate,
    kernel,
    prepare,
    presets,
    report,
    run,
    score,
    show,
    study,
    train,
    weights,
)

COMMANDS = (
    prepare,
    train,
    evaluate,
    generate,
    show,
    check,
    score,
    compare,
    floor,
    audit,
    run,
    report,
    demo,
    presets,
    weights,
    cache,
    kernel,
    study,
)
"""In the order of the help. Each has `add_command`."""
