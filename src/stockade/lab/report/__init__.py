"""A report of what the lab measured: one HTML file, Markdown, pictures.

`documents.py` reads documents and histories, `swept.py` computes sweeps, `proof.py` says what a run shows. `sections/`
has a file for each part of the report, `answer.py` what stands at its top, `page.py` the values that all of them make;
`html.py`, `markdown.py` and `pictures.py` write them.
Neighbour: `lab/charts/` draws.
"""
