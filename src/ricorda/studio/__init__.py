"""The web page: drop a text, watch a network learn it, look inside. Without torch.

workspace       where runs and texts lie, and which names are theirs
private_folder  what is kept between two starts: a folder of this user alone, the queue
reading         how a run reads its text, and how much of that is allowed
texts           uploads and samples; what a text is: size, symbols, split, any stretch of it
planning        what the planner would choose for a training that is asked for
baselines       the simple methods' figures of a text, computed in the background
trainings       trainings as processes of their own: begun, paused, ended, queued
managing        runs described, renamed, noted, deleted and restored
trash           deleted runs, until they are restored or deleted for good
downloads       a run's report, its model, and the model as a web page
feed            a run's rows as they grow, from a place on
looking         what a trained model shows: surprise, units, the next symbol
cache           work that takes long: in threads of its own, done once for each key
settings        what a request may say
application     the addresses and their answers
entrance        the one-time ticket in the address, exchanged for a cookie
samples/        texts for those who have none at hand, with their sources
page/           HTML, CSS and ES modules as they are served, and the words in each language
"""
