"""The web page: drop a text, watch a network learn it, look inside. Without torch.

workspace    where runs and texts lie, and which names are theirs
texts        what a text is: size, symbols, split, any stretch of it
sample_texts two texts for those who have none at hand
trainings    trainings as processes of their own: begun, paused, ended, queued
line         the trainings that wait, kept from one sitting to the next
activity     which process trains in a run's folder
feed         a run's rows as they grow, for server-sent events
looking      what a trained model shows: surprise, units, the next symbol
settings     what a request may say
application  the addresses and their answers
rows         what all rows of a run come to, read once
answers      JSON, and what the system refuses
turns        threads for what takes long
shell        commands as a person copies them
entrance     the token in the address, changed for a cookie
page/        HTML, CSS and ES modules as they are served, and the words in each language
"""
