"""The web page: drop a text, watch a network learn it, look inside. Without torch.

workspace    where runs and texts lie, and which names are theirs
private_folder  what is kept between two starts: a folder of this user alone
reading      how a run reads its text, and how much of that is allowed
uploads      files of texts on their way in
kept         results that take long, made once for each key
texts        what a text is: size, symbols, split, any stretch of it
sample_texts two texts for those who have none at hand
trainings    trainings as processes of their own: begun, paused, ended, queued
line         the trainings that wait, kept from one start to the next
activity     which process trains in a run's folder
feed         a run's rows as they grow, from a place on
looking      what a trained model shows: surprise, units, the next symbol
settings     what a request may say
application  the addresses and their answers
rows         what all rows of a run come to, read once
answers      JSON, and what the system refuses
turns        threads for what takes long
shell        commands as a person copies them
entrance     the one-time ticket in the address, exchanged for a cookie
page/        HTML, CSS and ES modules as they are served, and the words in each language
"""
