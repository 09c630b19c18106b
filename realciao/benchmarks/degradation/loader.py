def cost(args):
    return 0


def tables(args, done):
    return iter(())
