"""What a hand does with an object and how it takes hold of it: six elements, and a sentence made of them.

After the affordance-guided pose prior (Suzuki et al., Sec. 2.1). Step 1 fills the elements, from labels or by asking a
vision-language model about a photo; step 2 turns them into one sentence, by a template or by a language model.
"""
